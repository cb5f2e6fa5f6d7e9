// Destructors that run while a thread ends, some after the allocator's own, allocate and free: of thread_local objects,
// and of pthread keys, which get four rounds. 20,000 such threads leave nothing behind.
#include "../c/check.h"
#include <memory>
#include <string>
#include <vector>

static std::vector<pthread_key_t> keys;

struct Late {
    std::unique_ptr<std::string> text = std::make_unique<std::string>(500, 'x');
    ~Late() {
        for (int i = 0; i < 20; i++) std::make_unique<std::vector<int>>(i * 10);
        text.reset();
        free(realloc(malloc(10), 3000));
    }
};
static thread_local Late late;

// The value of a key: how many rounds are left, in a block that each round replaces.
static void again(void *value) {
    int rounds = *static_cast<int *>(value);
    free(value);
    if (rounds == 0) return;
    auto *next = static_cast<int *>(malloc(sizeof(int) + 100 * rounds));
    *next = rounds - 1;
    for (pthread_key_t key : keys)
        if (pthread_getspecific(key) == nullptr) {
            pthread_setspecific(key, next);
            return;
        }
    free(next);
}

static void *use(void *only_in_destructors) {
    if (only_in_destructors == nullptr) late.text->push_back('y');
    for (pthread_key_t key : keys) {
        auto *value = static_cast<int *>(malloc(64));
        *value = PTHREAD_DESTRUCTOR_ITERATIONS - 1;
        pthread_setspecific(key, value);
    }
    return nullptr;
}

static void run(int threads) {
    for (int i = 0; i < threads; i += 4) {
        pthread_t four[4];
        for (int t = 0; t < 4; t++) four[t] = start(use, t == 0 ? &keys : nullptr);
        for (pthread_t thread : four) join(thread);
    }
}

int main() {
    // Keys below 32 and above it, made before and after whatever key the allocator uses.
    for (int i = 0; i < 40; i++) {
        pthread_key_t key;
        CHECK(pthread_key_create(&key, i % 10 ? nullptr : again) == 0, "no key");
        if (i % 10 == 0) keys.push_back(key);
    }
    run(2000);
    size_t before = resident();
    run(18000);
    size_t after = resident();
    CHECK(after < before + (3 << 20), "18,000 threads left %zu KB", (after - before) >> 10);
    return 0;
}
