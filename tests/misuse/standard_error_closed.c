/* Misuse is noticed by a program that has closed its standard error, and opened something else in its place. */
#include "misuse.h"
#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    close(2);
    int file = open(argc > 1 ? argv[1] : "", O_CREAT | O_WRONLY, 0600);
    free(misused((void *)0x123456789000));
    write(file, "the program's own\n", 18);
    return file != 2 || !heap_works(24);
}
