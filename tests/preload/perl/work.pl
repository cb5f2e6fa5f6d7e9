# Hashes, strings, regular expressions, objects, sorting, fork, and threads, which clone the whole interpreter.
use strict;
use warnings;
use Config;
use POSIX ();

my %words;
my $seed = 12345;
sub random { $seed = ($seed * 1103515245 + 12345) & 0x7fffffff; return $seed % $_[0] }

for my $i (1 .. 200_000) {
    my $word = join '', map { chr(97 + random(26)) } 1 .. 1 + random(4);
    push @{ $words{$word} }, $i;
}
my @common = (sort { @{ $words{$b} } <=> @{ $words{$a} } || $a cmp $b } keys %words)[0 .. 4];
print "words: ", scalar(keys %words), ", most common: @common\n";
delete @words{ grep { length > 3 } keys %words };
print "left: ", scalar(keys %words), "\n";

my $text = join ' ', map { "key$_=value" . $_ * $_ } 1 .. 50_000;
my %pairs = $text =~ /(\w+)=(\w+)/g;
print "pairs: ", scalar(keys %pairs), " $pairs{key777}\n";
(my $changed = $text) =~ s/value(\d+)/'<' . length($1) . '>'/ge;
print "changed: ", length($changed), " ", substr($changed, 1000, 40), "\n";

package Tree {
    sub new { my ($class, $depth) = @_; return bless { depth => $depth, kids => $depth ? [ map { Tree->new($depth - 1) } 1 .. 4 ] : [] }, $class }
    sub count { my $self = shift; my $n = 1; $n += $_->count for @{ $self->{kids} }; return $n }
}
print "tree: ", Tree->new(7)->count, "\n" for 1 .. 2;

my $buffer = '';
$buffer .= pack('N', $_) for 1 .. 100_000;
my $total = 0;
$total += $_ for unpack('N*', $buffer);
print "packed: ", length($buffer), " $total\n";

for my $child (1 .. 6) {
    pipe(my $reader, my $writer) or die "pipe: $!";
    my $process = fork // die "fork: $!";
    if (!$process) {
        my %own = map { $_ => "x" x ($_ % 50) } 1 .. 20_000 * $child;
        print $writer scalar(keys %own), "\n";
        close $writer;
        POSIX::_exit($child);
    }
    close $writer;
    my $said = <$reader>;
    waitpid $process, 0;
    print "child $child: ", $? >> 8, " $said";
}

if ($Config{useithreads}) {
    require threads;
    my @threads = map {
        my $n = $_;
        threads->create(sub { my %own = map { $_ => [ 1 .. $_ % 10 ] } 1 .. 5000 * $n; my $sum = 0; $sum += @$_ for values %own; return $sum })
    } 1 .. 4;
    print "thread: ", $_->join, "\n" for @threads;
}
exit 3;
