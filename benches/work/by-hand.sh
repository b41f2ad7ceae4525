# check.sh on all hosts at once, an ssh for each: by-hand.sh FOLDER, which has `hosts` (lines of HOST PORT ADDRESS), `known_hosts` and `key`.
here=${0%/*}
while read -r host port address; do
  ssh -o UserKnownHostsFile="$1/known_hosts" -o StrictHostKeyChecking=yes -i "$1/key" -p "$port" "admin@$host" \
    sudo sh -s "$address" <"$here/check.sh" || echo "$host:$port is not in order" &
done <"$1/hosts"
wait
