/* Prompt pieces beside generation: the size follows the measured time of steps. That results do not
 * depend on it is test_session's (alone or together) and test_bits' (chunks). */
#include "engine/chunk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { BATCH = 512 };

static void test_alone(void **state)
{
    struct chunk chunk = {0};
    (void)state;
    assert_int_equal(chunk_room(&chunk, 0, BATCH), BATCH);
    chunk_note(&chunk, 0, BATCH, 100); /* nobody waited */
    assert_int_equal(chunk_room(&chunk, 0, BATCH), BATCH);
    assert_int_equal(chunk_room(&chunk, 3, BATCH), CHUNK_FIRST);
    assert_int_equal(chunk_room(&chunk, BATCH - 5, BATCH), 5);
    assert_int_equal(chunk_room(&chunk, BATCH, BATCH), 0);
}

/* A machine on which a step takes `base` and a prompt's token `token` seconds. */
static uint32_t settled(double base, double token)
{
    struct chunk chunk = {0};
    chunk_note(&chunk, 4, 0, base);
    for (int i = 0; i < 40; i++) {
        uint32_t n = chunk_room(&chunk, 4, BATCH);
        chunk_note(&chunk, 4, n, base + n * token);
    }
    return chunk_room(&chunk, 4, BATCH);
}

static void test_follows_the_machine(void **state)
{
    (void)state;
    assert_int_equal(settled(.01, 1e-5), BATCH - 4); /* fast: all there is room for */
    assert_int_equal(settled(.09, 1), CHUNK_LEAST);  /* hopeless: but it goes on */
    assert_in_range(settled(.02, .002), 32, 90);     /* 200 ms: 90 tokens */
    assert_in_range(settled(.5, .005), 32, 100);     /* twice a step without prompts: 100 */
}

static void test_short_pieces_say_little(void **state)
{
    struct chunk chunk = {0};
    (void)state;
    chunk_note(&chunk, 4, 5, .001); /* fewer than it might have been */
    assert_int_equal(chunk_room(&chunk, 4, BATCH), CHUNK_FIRST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_follows_the_machine),
        cmocka_unit_test(test_short_pieces_say_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
