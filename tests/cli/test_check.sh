# `vinci check`, `vinci devices`, `vinci advise`: what is printed, that the JSON says the same, wrong arguments.
. tests/shell.sh

expect 'devices' 0 devices
says 'devices: the CPU' 'cpu  ' "$out"
says 'devices: its kernels' 'scalar' "$out"
expect 'devices --json' 0 devices --json
says 'devices --json: an id' '"id": "cpu"' "$out"

expect 'check' 0 check --device cpu --size 256
says 'the network' '128-256-256-10, ReLU, dropout 0.1: 101386 parameters' "$out"
says 'the gradients' 'agree with differences' "$out"
says 'ten products' '10 times 1024 x 1024' "$out"
says 'the verdict' 'all results right' "$out"
if awk 'length > 80 { exit 1 }' "$out"; then ok 'no line beyond 80 columns'; else not_ok '80 columns'; fi
expect 'check --json' 0 check --device cpu --size 256 --json
says 'check --json: the network' '"parameters": 101386' "$out"
says 'check --json: right' '"right": true' "$out"

expect 'an NPU that is not there: the CPU is checked' 0 check --device npu:7 --size 256
says 'an NPU that is not there: it is said' 'checking the CPU instead' "$err"
ASCEND_HOME_PATH=$BUILD/npu_sim NPU_SIM_CANN=8.5; export ASCEND_HOME_PATH NPU_SIM_CANN
expect 'a simulated NPU' 0 check --device npu:0 --size 256
says 'a simulated NPU: the CPU agrees' "from the CPU's, in all 101386 parameters" "$out"
says 'a simulated NPU: its transfers' 'GB/s to the device' "$out"
says 'a simulated NPU: equal numbers' 'of equal ones the first, as the host: in all of 32 rows' "$out"
says 'a simulated NPU: slow' 'all results right, but slow' "$out"
expect 'a simulated NPU --json' 0 check --device npu:0 --size 256 --json
says 'a simulated NPU --json: the CPU agrees' '"cpu_error"' "$out"
says 'a simulated NPU --json: equal numbers' '"first": 32' "$out"
HOME=$(cd "$BUILD" && pwd) HF_TOKEN=hf_secret; export HOME HF_TOKEN
ASCEND_HOME_PATH=$HOME/npu_sim
expect 'a report' 0 check --device npu:0 --bundle "$folder/report"
says 'a report: where it is' 'read it before you send it' "$err"
says 'a report: CANN' 'version      8.5.0' "$folder/report"
says 'a report: a library with its hash' \
    "$(sha256sum "$HOME/npu_sim/lib64/libopapi_nn.so" | cut -d ' ' -f 1)" "$folder/report"
says 'a report: what the self test found' 'network      gradients right' "$folder/report"
says 'a report: which of equal numbers is the largest' 'largest      of equal ones first 32, last 0' "$folder/report"
says 'a report: the environment' 'ASCEND_HOME_PATH ~/npu_sim' "$folder/report"
if grep -q -e hf_secret -e "$HOME" "$folder/report"; then not_ok 'a report: a secret in it'
else ok 'a report: no secrets'; fi
unset HF_TOKEN
NPU_SIM_FAIL=aclnnMm@3=507015; export NPU_SIM_FAIL
expect 'a report of a failing device' 0 check --device npu:0 --bundle -
says 'a report of a failing device: what failed' 'network      DEVICE: npu:0: aclnnMm (f32' "$out"
unset NPU_SIM_FAIL ASCEND_HOME_PATH NPU_SIM_CANN
expect 'a report on a machine without NPU' 0 check --bundle -
says 'a report on a machine without NPU: why' 'none         CANN' "$out"
expect 'a report that cannot be written' 4 check --bundle /dev/full
expect 'no such device' 2 check --device gpu
expect 'a size out of range' 2 check --size 1

expect 'advise' 0 advise -m tests/vectors/golden/text
says 'advise: measured' 'GB/s read' "$out"
says 'advise: a command' 'vinci chat -m tests/vectors/golden/text' "$out"
expect 'advise --json' 0 advise -m tests/vectors/golden/text --json
says 'advise --json: limits' '"read_bytes_per_second"' "$out"
expect 'advise: a model that is not there' 3 advise -m nowhere/nothing
finish
