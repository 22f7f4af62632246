/* An empty program: libc starts it and ends it. With -static libc is within, else the dynamic
 * linker finds it.
 *
 *     cc -O2 empty.c -o empty
 */
int main(void) { return 0; }
