/* Objects from new[] are deleted with delete, which passes the address behind the number of them. */
#include "misuse.h"
#include <new>

struct Object {
    long member = 1;
    ~Object() { __asm__ volatile("" : : "r"(member)); }
};

int main() {
    Object *volatile objects = new Object[5];
    misused(objects);
    Object *object = objects;
    delete object;
    return !heap_works(48);
}
