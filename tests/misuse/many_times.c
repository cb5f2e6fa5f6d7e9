/* Misuse in a loop is named a hundred times, and not a thousand. */
#include "misuse.h"

int main(void) {
    long variables[200] = {1};
    for (int i = 0; i < 100; i++) free(misused(variables + i));
    for (int i = 0; i < 1000; i++) free(variables + i % 200);
    return variables[0] != 1;
}
