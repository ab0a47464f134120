/* SPDX-License-Identifier: MIT */
/*
 * Goal: a plugin that brings the library and is unloaded leaves no segment of the process's for each
 *       time: the identity is the process's until that ends, whoever has closed the library.
 * Method: dlopen(), weir_identity(), dlclose(), twice; the identities are compared.
 */
#include "fixture.h"

#include <dlfcn.h>
#include <string.h>

static uint64_t identity_by_plugin(void)
{
    int (*identity_of)(uint64_t *);
    uint64_t identity = 0;
    void *library = dlopen(WEIR_SHARED_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fail_msg("%s", dlerror());
    void *found = dlsym(library, "weir_identity");
    assert_non_null(found);
    memcpy(&identity_of, &found, sizeof found); /* ISO C has no cast from data to functions */
    assert_int_equal(identity_of(&identity), 0);
    assert_int_equal(dlclose(library), 0);
    return identity;
}

static void test_unloaded(void **state)
{
    (void)state;
    uint64_t identity = identity_by_plugin();
    assert_true(identity != 0);
    assert_true(identity_by_plugin() == identity);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_unloaded) };
    return cmocka_run_group_tests_name("unloaded", tests, NULL, NULL);
}
