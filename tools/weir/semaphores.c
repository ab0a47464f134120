/* SPDX-License-Identifier: MIT */
#include "semaphores.h"

#include <sys/sem.h>

#include "fields.h"

enum field { INDEX, VALUE, NCNT, ZCNT, PID, COMMAND, FIELD_COUNT };

const struct table_column semaphore_columns[FIELD_COUNT] = {
    [INDEX] = { "INDEX", TABLE_NUMBER, 1 }, [VALUE] = { "VALUE", TABLE_NUMBER, 1 },
    [NCNT] = { "NCNT", TABLE_NUMBER, 1 },   [ZCNT] = { "ZCNT", TABLE_NUMBER, 1 },
    [PID] = { "PID", TABLE_NUMBER, 1 },     [COMMAND] = { "COMMAND", TABLE_TEXT, 1 },
};
const size_t semaphore_column_count = FIELD_COUNT;

bool semaphores_find(struct table *table, const struct weir_object *object)
{
    for (int i = 0; i < (int)object->count; i++) {
        int value = semctl(object->id, i, GETVAL);
        int more = semctl(object->id, i, GETNCNT);
        int zero = semctl(object->id, i, GETZCNT);
        int pid = semctl(object->id, i, GETPID);
        if (value < 0 || more < 0 || zero < 0 || pid < 0)
            return false;
        struct table_value *row = table_row(table);
        table_set_number(&row[INDEX], i);
        table_set_number(&row[VALUE], value);
        table_set_number(&row[NCNT], more);
        table_set_number(&row[ZCNT], zero);
        if (pid == 0)
            continue;
        table_set_number(&row[PID], pid);
        row[COMMAND].text = process_command(pid);
        row[COMMAND].known = row[COMMAND].text != NULL;
    }
    return true;
}
