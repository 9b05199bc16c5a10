/* main.c - the program: finds the subcommand and runs it. */
#include "vinci.h"

#include <stdio.h>

int main(void)
{
    printf("vinci %s\n", vinci_version());
    return 0;
}
