#include <stdio.h>
#include <weir/weir.h>

int main(void)
{
    struct weir_latest_reader *reader;
    int number, result = weir_latest_open(&reader, weir_by_name("hello-latest"), NULL);
    if (result == 0)
        result = weir_latest_wait_until(reader, 0, WEIR_NEVER);
    if (result == 0)
        result = weir_latest_read(reader, &number, sizeof number, NULL);
    if (result != 0)
        return fprintf(stderr, "%s\n", weir_last_error()), 1;
    printf("the latest number is %d\n", number);
    weir_latest_reader_close(reader);
}
