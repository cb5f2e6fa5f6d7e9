use strict; use warnings;
srand(1);
my $total = 0;
for my $turn (1 .. 5) {
    my (%count, @lines);
    for my $i (1 .. 60000) {
        my $line = join(" ", map { "w" . int(rand(5000)) } 1 .. 6);
        push @lines, $line;
        $count{$_}++ for split / /, $line;
    }
    my @sorted = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
    s/w(\d+)/<$1>/g for @lines;
    $total += length($_) for @lines, @sorted;
}
print "$total\n";
