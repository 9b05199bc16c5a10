# The repository keeps the order of its layers, and the checker notices each kind of breach.
. tests/shell.sh

check 'layers are in order' sh tools/check-layers

# breach NAME FILE LINE: a tree with this line in this file must be refused.
breach()
{
    rm -rf "$folder/tree"
    mkdir -p "$folder/tree/src/base" "$folder/tree/${2%/*}"
    printf '%s\n' '#include "vinci.h"' '/* getenv() in a comment */' >"$folder/tree/src/base/a.c"
    check "$1: the tree without it passes" sh tools/check-layers "$folder/tree"
    printf '%s\n' "$3" >"$folder/tree/$2"
    if sh tools/check-layers "$folder/tree" >"$folder/breaches"; then
        not_ok "$1: not noticed"
    elif grep -q "^$2:1: " "$folder/breaches"; then
        ok "$1"
    else
        not_ok "$1: not named"
        cat "$folder/breaches"
    fi
}

breach 'a layer above' src/model/a.c '#include "engine/engine.h"'
breach 'text sees the device' src/text/a.c '#include "device/device.h"'
breach 'cpu sees npu' src/device/cpu/a.c '#include "device/npu/npu.h"'
breach 'npu sees cpu' src/device/npu/a.h '#  include "device/cpu/kernels.h"'
breach 'engine sees a device' src/engine/a.c '#include "device/cpu/kernels.h"'
breach 'cli sees the engine' src/cli/a.c '#include "engine/engine.h"'
breach 'bench sees the model' src/bench/a.c '#include "model/weights.h"'
breach 'a path without its layer' src/base/b.c '#include "buf.h"'
breach 'an unknown layer' src/other/a.c 'int x;'
breach 'the environment' src/model/a.c 'char *home = getenv("HOME");'
breach 'exit' src/engine/a.c 'void f(void) { exit(1); }'
breach 'assert' src/engine/a.c '    assert(n > 0);'
breach 'printf' src/bench/a.c 'void f(void) { /* why */ printf("%d\n", 1); }'
breach 'stderr' src/base/b.c 'void f(void) { fprintf(stderr, "x"); }'
finish
