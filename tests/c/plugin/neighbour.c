/* A library that is found only by way of the search path of the plugin that opens it. */
int neighbour(void) { return 42; }
