/* A program to be debugged: a list, a recursion, a second thread. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
    struct node *next;
    char name[24];
    int value;
};

static struct node *push(struct node *list, int value)
{
    struct node *node = malloc(sizeof *node);
    if (!node)
        exit(1);
    node->next = list;
    node->value = value;
    snprintf(node->name, sizeof node->name, "node %d", value);
    return node;
}

int walk_list(int n, const struct node *list)
{
    if (n == 0)
        return list->value;
    return 1 + walk_list(n - 1, list->next);
}

static void *other_thread(void *text)
{
    return strdup(text);
}

int main(void)
{
    struct node *list = NULL;
    for (int i = 1; i <= 50; i++)
        list = push(list, i * i);
    printf("depth %d\n", walk_list(12, list));

    pthread_t other;
    void *copy = NULL;
    pthread_create(&other, NULL, other_thread, "from the other thread");
    pthread_join(other, &copy);
    puts(copy);
    free(copy);
    while (list) {
        struct node *next = list->next;
        free(list);
        list = next;
    }
    return 0;
}
