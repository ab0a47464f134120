#include <stdio.h>
#include <unistd.h>
#include <weir/weir.h>

int main(void)
{
    struct weir_latest_options options = WEIR_LATEST_OPTIONS;
    struct weir_latest_writer *writer;
    options.value_bytes_max = sizeof(int);
    int result = weir_latest_create(&writer, weir_by_name("hello-latest"), &options);
    for (int i = 0; result >= 0 && i < 100; i++, usleep(20000))
        result = weir_latest_write(writer, &i, sizeof i);
    if (result < 0)
        return fprintf(stderr, "%s\n", weir_last_error()), 1;
    weir_latest_writer_close(writer);
}
