/* Objects of derived classes are deleted through their base, whose destructor is not virtual: with the size of the base. */
#include "misuse.h"

struct Base {
    long number = 0;
};
struct Little : Base {
    long more[3] = {};
};
struct Much : Base {
    char more[100000] = {};
};

int main() {
    delete static_cast<Base *>(misused(static_cast<Base *>(new Little)));
    delete static_cast<Base *>(misused(static_cast<Base *>(new Much)));
    return !heap_works(sizeof(Little));
}
