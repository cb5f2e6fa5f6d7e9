/* Misuse, and statistics that are asked for, in a program that was started without a standard error: its number is
   that of the * first file that the program opens. */
#include "misuse.h"
#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int file = open(argc > 1 ? argv[1] : "", O_CREAT | O_WRONLY, 0600);
    free(misused((void *)0x123456789000));
    malloc_stats();
    write(file, "the program's own\n", 18);
    return file != 2 || !heap_works(24);
}
