/* The class `Order` for Python over `order.c`; `PlainOrder` in `../order.py` says what each method does.

   No method runs Python code, or anything that may start a garbage collection, between looking at the arrays and being
   done with them. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000 /* Python 3.11 and all that follow */
#include <Python.h>

#include "order.h"

#include <string.h>

typedef struct {
    PyObject_HEAD
    Order order;
} OrderObject;

/* An array with room for one more entry, or NULL with an exception set; then the old one is as it was. */
static void *
grown(void *entries, size_t size, int32_t count, int32_t *room, int32_t most)
{
    if (count < *room) {
        return entries;
    }
    if (count >= most) {
        PyErr_Format(PyExc_OverflowError, "a graph can't have more than %ld stars or lines", (long)most);
        return NULL;
    }
    int64_t wanted = (int64_t)*room + *room / 2 + 16;
    if (wanted > most) {
        wanted = most;
    }
    void *more = PyMem_Realloc(entries, (size_t)wanted * size);
    if (more == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    *room = (int32_t)wanted;
    return more;
}

/* Make room for one more star; false with an exception set if there is none. */
static bool
make_room_for_star(Order *order)
{
    Star *stars = grown(order->stars, sizeof(Star), next_slot(order), &order->star_room, MOST_STARS);
    if (stars != NULL) {
        order->stars = stars;
    }
    return stars != NULL;
}

/* Make room for one more line; false with an exception set if there is none. */
static bool
make_room_for_line(Order *order)
{
    int32_t number = order->free_line != NONE ? order->free_line : order->line_count;
    Line *lines = grown(order->lines, sizeof(Line), number, &order->line_room, MOST_LINES);
    if (lines != NULL) {
        order->lines = lines;
    }
    return lines != NULL;
}

/* A number that Python has passed as a slot; false with an exception set if it is none. May run Python code. */
static bool
read_number(PyObject *argument, long *value)
{
    *value = PyLong_AsLong(argument);
    return *value != -1 || !PyErr_Occurred();
}

/* See that there is a star in a slot; false with an exception set if not. */
static bool
check_slot(const Order *order, long value, int32_t *slot)
{
    if (value <= ENDS || value >= order->star_count || order->stars[value].before == FREE) {
        PyErr_Format(PyExc_ValueError, "there is no star in slot %ld", value);
        return false;
    }
    *slot = (int32_t)value;
    return true;
}

/* Read a slot that Python has passed; false with an exception set if there is no star in it. */
static bool
read_slot(const Order *order, PyObject *argument, int32_t *slot)
{
    long value;
    return read_number(argument, &value) && check_slot(order, value, slot);
}

/* Both numbers are read before either is looked at: an object that is no int may do anything to be one. */
static bool
read_two_slots(const Order *order, PyObject *const *arguments, Py_ssize_t count, int32_t *first, int32_t *second)
{
    long values[2];
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "two slots are needed");
        return false;
    }
    return read_number(arguments[0], &values[0]) && read_number(arguments[1], &values[1]) &&
           check_slot(order, values[0], first) && check_slot(order, values[1], second);
}

static bool
append_number(PyObject *list, int32_t value)
{
    PyObject *number = PyLong_FromLong(value);
    bool done = number != NULL && PyList_Append(list, number) == 0;
    Py_XDECREF(number);
    return done;
}

/* --- making and copying --------------------------------------------------------------------------------------- */

/* An object of the type, filled with zeros. */
static OrderObject *
allocate(PyTypeObject *type)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return (OrderObject *)alloc(type, 0);
}

static PyObject *
order_new(PyTypeObject *type, PyObject *arguments, PyObject *named)
{
    if (PyTuple_Size(arguments) != 0 || (named != NULL && PyDict_Size(named) != 0)) {
        PyErr_SetString(PyExc_TypeError, "Order() takes no arguments");
        return NULL;
    }
    OrderObject *self = allocate(type);
    if (self == NULL) {
        return NULL;
    }
    if (!make_room_for_star(&self->order) || !make_room_for_line(&self->order)) {
        Py_DECREF(self);
        return NULL;
    }
    self->order.stars[ENDS] = (Star){0};
    self->order.lines[NONE] = (Line){0};
    self->order.star_count = self->order.line_count = 1; /* ENDS and NONE */
    return (PyObject *)self;
}

static void
order_dealloc(OrderObject *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyMem_Free(self->order.stars);
    PyMem_Free(self->order.lines);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyObject *
order_copy(OrderObject *self, PyObject *Py_UNUSED(ignored))
{
    OrderObject *made = allocate(Py_TYPE((PyObject *)self));
    if (made == NULL) {
        return NULL;
    }
    size_t stars = (size_t)self->order.star_count * sizeof(Star), lines = (size_t)self->order.line_count * sizeof(Line);
    made->order = self->order;
    made->order.stars = PyMem_Malloc(stars);
    made->order.lines = PyMem_Malloc(lines);
    if (made->order.stars == NULL || made->order.lines == NULL) {
        Py_DECREF(made);
        return PyErr_NoMemory();
    }
    memcpy(made->order.stars, self->order.stars, stars);
    memcpy(made->order.lines, self->order.lines, lines);
    made->order.star_room = self->order.star_count;
    made->order.line_room = self->order.line_count;
    return (PyObject *)made;
}

/* --- looking -------------------------------------------------------------------------------------------------- */

static PyObject *
order_iter(OrderObject *self)
{
    PyObject *slots = PyList_New(0);
    if (slots == NULL) {
        return NULL;
    }
    const Star *stars = self->order.stars;
    for (int32_t slot = stars[ENDS].after; slot != ENDS; slot = stars[slot].after) {
        if (!append_number(slots, slot)) {
            Py_DECREF(slots);
            return NULL;
        }
    }
    PyObject *iterator = PyObject_GetIter(slots);
    Py_DECREF(slots);
    return iterator;
}

static PyObject *
order_position(OrderObject *self, PyObject *argument)
{
    int32_t slot;
    return read_slot(&self->order, argument, &slot) ? PyLong_FromLongLong(self->order.stars[slot].position) : NULL;
}

static PyObject *
order_targets(OrderObject *self, PyObject *argument)
{
    int32_t slot;
    PyObject *targets = PyList_New(0);
    if (targets == NULL || !read_slot(&self->order, argument, &slot)) {
        Py_XDECREF(targets);
        return NULL;
    }
    const Line *lines = self->order.lines;
    for (int32_t line = self->order.stars[slot].outbound; line != NONE; line = lines[line].next_outbound) {
        if (!append_number(targets, lines[line].target)) {
            Py_DECREF(targets);
            return NULL;
        }
    }
    return targets;
}

static PyObject *
order_way(OrderObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    int32_t start, end;
    PyObject *way = PyList_New(0);
    if (way == NULL || !read_two_slots(&self->order, arguments, count, &start, &end)) {
        Py_XDECREF(way);
        return NULL;
    }
    if (find_way(&self->order, start, end)) {
        for (int32_t slot = start; slot != NONE; slot = self->order.stars[slot].next) {
            if (!append_number(way, slot)) {
                Py_DECREF(way);
                return NULL;
            }
        }
    }
    return way;
}

/* Read weights that Python has passed by slots; false with an exception set if they are no such thing. */
static bool
read_weights(const Order *order, PyObject *argument, double *weights)
{
    PyObject *key, *value;
    Py_ssize_t place = 0;
    while (PyDict_Next(argument, &place, &key, &value)) {
        int32_t slot;
        if (!PyLong_CheckExact(key) || !PyFloat_CheckExact(value)) {
            PyErr_SetString(PyExc_TypeError, "weights are floats by slots");
            return false;
        }
        if (!read_slot(order, key, &slot)) {
            return false;
        }
        weights[slot] = PyFloat_AsDouble(value);
    }
    return true;
}

/* A new dict of the ways from the stars that `asked` has. Anything may happen to the order meanwhile. */
static PyObject *
ways_by_slot(PyObject *asked, const double *ways)
{
    PyObject *made = PyDict_New(), *key, *value;
    Py_ssize_t place = 0;
    while (made != NULL && PyDict_Next(asked, &place, &key, &value)) {
        PyObject *way = PyFloat_FromDouble(ways[PyLong_AsLong(key)]);
        if (way == NULL || PyDict_SetItem(made, key, way) != 0) {
            Py_CLEAR(made);
        }
        Py_XDECREF(way);
    }
    return made;
}

static PyObject *
order_heaviest_ways(OrderObject *self, PyObject *argument)
{
    if (!PyDict_CheckExact(argument)) {
        PyErr_SetString(PyExc_TypeError, "a dict of weights is needed");
        return NULL;
    }
    double *ways = PyMem_Calloc((size_t)self->order.star_count, sizeof(double));
    if (ways == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *made = NULL;
    if (read_weights(&self->order, argument, ways)) {
        weigh_ways(&self->order, ways);
        made = ways_by_slot(argument, ways);
    }
    PyMem_Free(ways);
    return made;
}

/* --- changing ------------------------------------------------------------------------------------------------- */

static PyObject *
order_append(OrderObject *self, PyObject *argument)
{
    long long serial = PyLong_AsLongLong(argument);
    if ((serial == -1 && PyErr_Occurred()) || !make_room_for_star(&self->order)) {
        return NULL;
    }
    PyObject *slot = PyLong_FromLong(next_slot(&self->order));
    if (slot != NULL) {
        append_star(&self->order, serial);
    }
    return slot;
}

static PyObject *
order_remove(OrderObject *self, PyObject *argument)
{
    int32_t slot;
    if (!read_slot(&self->order, argument, &slot)) {
        return NULL;
    }
    const Star *star = &self->order.stars[slot];
    if (star->outbound != NONE || star->inbound != NONE) {
        return PyErr_Format(PyExc_ValueError, "the star in slot %ld has lines", (long)slot);
    }
    remove_star(&self->order, slot);
    Py_RETURN_NONE;
}

static PyObject *
order_connect(OrderObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    int32_t source, target;
    if (!read_two_slots(&self->order, arguments, count, &source, &target) || !make_room_for_line(&self->order)) {
        return NULL;
    }
    return PyBool_FromLong(connect_stars(&self->order, source, target));
}

static PyObject *
order_disconnect(OrderObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    int32_t source, target;
    if (!read_two_slots(&self->order, arguments, count, &source, &target)) {
        return NULL;
    }
    if (!disconnect_stars(&self->order, source, target)) {
        return PyErr_Format(PyExc_KeyError, "there is no line from slot %ld to %ld", (long)source, (long)target);
    }
    Py_RETURN_NONE;
}

/* --- the class ------------------------------------------------------------------------------------------------ */

static PyMethodDef order_methods[] = {
    {"position", (PyCFunction)order_position, METH_O, NULL},
    {"targets", (PyCFunction)order_targets, METH_O, NULL},
    {"append", (PyCFunction)order_append, METH_O, NULL},
    {"remove", (PyCFunction)order_remove, METH_O, NULL},
    {"connect", (PyCFunction)(void (*)(void))order_connect, METH_FASTCALL, NULL},
    {"disconnect", (PyCFunction)(void (*)(void))order_disconnect, METH_FASTCALL, NULL},
    {"way", (PyCFunction)(void (*)(void))order_way, METH_FASTCALL, NULL},
    {"heaviest_ways", (PyCFunction)order_heaviest_ways, METH_O, NULL},
    {"copy", (PyCFunction)order_copy, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot order_slots[] = {
    {Py_tp_doc, "A topological order of stars, by their slots; `PlainOrder` says what its methods do."},
    {Py_tp_new, order_new},
    {Py_tp_dealloc, order_dealloc},
    {Py_tp_iter, order_iter},
    {Py_tp_methods, order_methods},
    {0, NULL},
};

static PyType_Spec order_spec = {
    .name = "constellation.graph.compiled_order.Order",
    .basicsize = sizeof(OrderObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = order_slots,
};

/* --- the module ----------------------------------------------------------------------------------------------- */

static int
module_exec(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &order_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    int failed = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return failed;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "compiled_order",
    .m_doc = "The topological order of `constellation.graph.order`, compiled.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit_compiled_order(void)
{
    return PyModuleDef_Init(&module_definition);
}
