# Arrays, strings, functions, subshells, pipes, substitutions: all that makes a shell allocate. Ends with status 7.
set -euo pipefail

declare -a numbers=()
for ((i = 0; i < 40000; i++)); do numbers+=($((i * 7919 % 10007))); done
echo "numbers: ${#numbers[@]}, last ${numbers[-1]}"

declare -A count=()
for n in "${numbers[@]}"; do
    key="bucket-$((n % 400))"
    count[$key]=$((${count[$key]:-0} + 1))
done
for key in "${!count[@]}"; do printf '%s=%d\n' "$key" "${count[$key]}"; done | sort | sed -n 1,5p
unset 'numbers[3]' 'count[bucket-1]'
echo "left: ${#numbers[@]} ${#count[@]}"

# Growing and cutting strings.
text=
for ((i = 0; i < 4000; i++)); do text+="word$i "; done
echo "${#text} ${text:100:20} ${text//word1/W}" | cut -c1-60
for ((i = 0; i < 200; i++)); do text=${text#* }; done
echo "${#text} ${text%% *}"

# Many subshells and command substitutions, each of which forks and allocates in the child.
sum=0
for ((i = 0; i < 300; i++)); do sum=$((sum + $(echo $((i * 3))))); done
echo "substitutions: $sum"
(
    local_copy=("${numbers[@]:0:1000}")
    (local_copy+=(inner) && echo "inner ${#local_copy[@]}")
    echo "outer ${#local_copy[@]}"
)

# Pipes of several programs, in parallel.
for job in 1 2 3 4; do
    (seq 1 20000 | sed "s/\$/ $job/" | sort -k1,1nr | awk '{ total += $1 * $2 } END { print total }' >"part.$job") &
done
wait
cat part.1 part.2 part.3 part.4 | paste -sd' '

# Files read into arrays, process substitution, regular expressions, here documents.
mapfile -t lines < <(seq 1 5000 | tac)
echo "mapfile: ${#lines[@]} ${lines[0]} ${lines[-1]}"
matched=0
for line in "${lines[@]}"; do
    if [[ $line =~ ^([0-9]*)99([0-9]*)$ ]]; then matched=$((matched + ${#BASH_REMATCH[1]} + 1)); fi
done
echo "matched: $matched"
comm -12 <(seq 1 3 3000 | sort) <(seq 1 7 3000 | sort) | wc -l
cat <<END | tr a-z A-Z
$(printf '%s,' {a..z}{1..3})
END

hanoi() {
    (($1 == 0)) && return
    hanoi $(($1 - 1)) "$2" "$4" "$3"
    moves=$((moves + 1))
    hanoi $(($1 - 1)) "$4" "$3" "$2"
}
moves=0
hanoi 10 a b c
echo "moves: $moves"

trap 'echo "trap at exit"' EXIT
exit 7
