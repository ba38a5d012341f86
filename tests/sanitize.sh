#!/bin/sh
# Builds the kernel with AddressSanitizer and UndefinedBehaviorSanitizer in a copy of the tree, and runs the decoders
# over the damaged corpus and over random bytes. Run by `make sanitize`; needs gcc's libasan.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cd "$root"
mkdir -p "$copy/work/main"
git ls-files | tar -cf - -T - | tar -xf - -C "$copy/work/main"
[ -d ../shared ] && ln -s "$(cd ../shared && pwd)" "$copy/work/shared"
cd "$copy/work/main"
ROTOMDB_SANITIZE=1 "$root/.venv/bin/python" setup.py --quiet build_ext --inplace --parallel 2
export LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
# Leaks are not looked for: the interpreter itself never frees everything. PYTHONMALLOC makes overruns of bytes visible.
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export PYTHONMALLOC=malloc PYTHONPATH="$copy/work/main" HYPOTHESIS_STORAGE_DIRECTORY="$copy/.hypothesis"
"$root/.venv/bin/python" -m pytest -q -p no:cacheprovider --timeout 1500 \
    tests/corpus/test_rdb_corpus.py tests/corpus/test_damaged_rdb.py tests/corpus/test_aof_corpus.py tests/property "$@"
