/* An object is deleted twice, and another in between. */
#include "misuse.h"

int main() {
    long *volatile first = new long(1), *volatile second = new long(2);
    misused(first);
    delete first;
    delete second;
    delete first;
    return 0;
}
