/* A Python extension that takes memory in every way an extension can: objects, Python's three allocators, malloc itself,
   blocks handed from one thread to another while the interpreter's lock is released. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    PyObject_HEAD
    char *text;
    size_t length;
} Rope;

static PyObject *rope_new(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    (void)arguments, (void)names;
    return type->tp_alloc(type, 0);
}

static void rope_dealloc(Rope *rope)
{
    free(rope->text);
    Py_TYPE(rope)->tp_free((PyObject *)rope);
}

static PyObject *rope_append(Rope *rope, PyObject *argument)
{
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(argument, &length);
    if (!text)
        return NULL;
    char *grown = realloc(rope->text, rope->length + (size_t)length + 1);
    if (!grown)
        return PyErr_NoMemory();
    memcpy(grown + rope->length, text, (size_t)length + 1);
    rope->text = grown;
    rope->length += (size_t)length;
    return PyLong_FromSize_t(rope->length);
}

static PyObject *rope_text(Rope *rope, PyObject *unused)
{
    (void)unused;
    return PyUnicode_FromStringAndSize(rope->text ? rope->text : "", (Py_ssize_t)rope->length);
}

static PyMethodDef rope_methods[] = {
    {"append", (PyCFunction)rope_append, METH_O, NULL},
    {"text", (PyCFunction)rope_text, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject rope_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "extension.Rope",
    .tp_basicsize = sizeof(Rope),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = rope_new,
    .tp_dealloc = (destructor)rope_dealloc,
    .tp_methods = rope_methods,
};

enum { BLOCKS = 20000 };

static void *fill(void *argument)
{
    unsigned char **blocks = argument;
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = 1 + i * 37 % 900;
        blocks[i] = i % 3 ? malloc(size) : calloc(1, size);
        if (!blocks[i])
            abort();
        if (i % 3 == 0 && blocks[i][size - 1] != 0)
            abort();
        memset(blocks[i], (int)(i & 255), size);
    }
    return NULL;
}

/* Blocks filled by another thread, checked and freed by this one. */
static PyObject *hand_over(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    unsigned char **blocks = PyMem_Calloc(BLOCKS, sizeof *blocks);
    if (!blocks)
        return PyErr_NoMemory();
    unsigned long long sum = 0;
    int failed;
    Py_BEGIN_ALLOW_THREADS
    pthread_t thread;
    failed = pthread_create(&thread, NULL, fill, blocks);
    if (!failed) {
        pthread_join(thread, NULL);
        for (size_t i = 0; i < BLOCKS; i++) {
            size_t size = 1 + i * 37 % 900;
            if (malloc_usable_size(blocks[i]) < size)
                abort();
            sum += blocks[i][0] + blocks[i][size - 1];
            free(blocks[i]);
        }
    }
    Py_END_ALLOW_THREADS
    PyMem_Free(blocks);
    if (failed)
        return PyErr_Format(PyExc_OSError, "no thread could be started");
    return PyLong_FromUnsignedLongLong(sum);
}

static PyObject *python_allocators(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    size_t total = 0;
    for (size_t size = 1; size < 200000; size = size * 5 / 4 + 1) {
        char *object = PyObject_Malloc(size), *memory = PyMem_Malloc(size), *raw = PyMem_RawMalloc(size);
        void *aligned = NULL;
        if (!object || !memory || !raw || posix_memalign(&aligned, 4096, size))
            return PyErr_NoMemory();
        raw = PyMem_RawRealloc(raw, size * 2);
        memory = PyMem_Realloc(memory, size / 2 + 1);
        if (!raw || !memory || (size_t)aligned % 4096)
            abort();
        memset(raw, 1, size * 2);
        total += size;
        PyObject_Free(object);
        PyMem_Free(memory);
        PyMem_RawFree(raw);
        free(aligned);
    }
    return PyLong_FromSize_t(total);
}

static PyMethodDef functions[] = {
    {"hand_over", hand_over, METH_NOARGS, NULL},
    {"python_allocators", python_allocators, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "extension", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC PyInit_extension(void)
{
    if (PyType_Ready(&rope_type) < 0)
        return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (!module)
        return NULL;
    Py_INCREF(&rope_type);
    if (PyModule_AddObject(module, "Rope", (PyObject *)&rope_type) < 0) {
        Py_DECREF(&rope_type);
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
