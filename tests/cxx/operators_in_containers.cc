// The standard library's containers, strings, shared pointers, threads and exceptions, over-aligned types among them.
#include "../c/check.h"
#include <deque>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

struct alignas(128) Wide {
    char bytes[200];
};

static long work(int seed) {
    std::map<std::string, std::vector<int>> map;
    std::unordered_map<int, std::shared_ptr<std::string>> table;
    std::deque<Wide> wide;
    std::list<std::string> list;
    long sum = 0;
    for (int i = 0; i < 20000; i++) {
        std::string key = "key number " + std::to_string((i * 7919 + seed) % 1000);
        map[key].push_back(i);
        table[i % 500] = std::make_shared<std::string>(key + key);
        if (i % 10 == 0) wide.emplace_back();
        CHECK(reinterpret_cast<std::uintptr_t>(&wide.back()) % 128 == 0, "%p", static_cast<void *>(&wide.back()));
        if (wide.size() > 100) wide.pop_front();
        list.push_front(std::move(key));
        if (list.size() > 300) list.pop_back();
        try {
            if (i % 100 == 0) throw std::runtime_error(list.front());
        } catch (const std::runtime_error &error) {
            sum += static_cast<long>(strlen(error.what()));
        }
    }
    for (auto &[key, values] : map) sum += static_cast<long>(key.size() * values.size());
    return sum;
}

int main() {
    std::vector<std::future<long>> futures;
    for (int i = 0; i < 4; i++) futures.push_back(std::async(std::launch::async, work, 5));
    long expected = work(5);
    for (auto &future : futures) CHECK(future.get() == expected, "threads compute different sums");
}
