#!/bin/sh
# Runs commands for the host, which speaks over a virtio-serial port named
# "control". One request at a time:
#   sync TOKEN                          -> sync TOKEN
#   run TOKEN SECONDS LENGTH + script   -> done TOKEN CODE LENGTH LENGTH + stdout + stderr
#   put TOKEN MODE LENGTH PATH + bytes  -> done TOKEN CODE 0 LENGTH + stderr
# CODE is an exit code or "timeout". A new client finds the start of its own
# answers by its token, whatever an earlier one left in the pipe.
work=/run/agent
mkdir -p "$work"
port=
while [ -z "$port" ]; do
    for name in /sys/class/virtio-ports/*/name; do
        [ -e "$name" ] || continue
        read -r text <"$name"
        directory=${name%/name}
        [ "$text" = control ] && port=/dev/${directory##*/}
    done
done
exec 3<>"$port"

# Exactly $1 bytes of the port, to standard output.
take() {
    [ "$1" -ge 65536 ] && dd bs=65536 count=$(($1 / 65536)) iflag=fullblock <&3 2>/dev/null
    [ $(($1 % 65536)) -gt 0 ] && dd bs=$(($1 % 65536)) count=1 iflag=fullblock <&3 2>/dev/null
    return 0
}

# done TOKEN CODE, with the files of the last command.
answer() {
    out=$(stat -c %s "$work/out")
    err=$(stat -c %s "$work/err")
    {
        echo "done $1 $2 $out $err"
        cat "$work/out" "$work/err"
    } >&3
}

run() {
    take "$3" >"$work/script"
    read -r began _ </proc/uptime
    setsid timeout -s KILL "$2" sh "$work/script" </dev/null >"$work/out" 2>"$work/err" 3>&- &
    child=$!
    wait "$child"
    code=$?
    if [ "$code" -eq 137 ]; then
        # What the script started is killed with it.
        kill -KILL -- "-$child" 2>/dev/null
        read -r ended _ </proc/uptime
        [ $((${ended%.*} - ${began%.*})) -ge "$2" ] && code=timeout
    fi
    answer "$1" "$code"
}

put() {
    : >"$work/out"
    mkdir -p "${4%/*}" 2>"$work/err"
    take "$3" >"$4.partial" 2>>"$work/err" && chmod "$2" "$4.partial" && mv "$4.partial" "$4"
    answer "$1" $?
}

read -r up _ </proc/uptime
echo "bed[$up] agent"
echo "$up agent" >>/run/marks
while :; do
    while read -r verb first second third rest <&3; do
        case $verb in
        sync) echo "sync $first" >&3 ;;
        run) run "$first" "$second" "$third" ;;
        put) put "$first" "$second" "$third" "$rest" ;;
        esac
    done
    # Without a client the port reads as ended.
    sleep 1
done
