#!/bin/sh
# Takes what the DHCP client was told: address, mtu and routes; prints it on one line.
[ "$1" = bound ] || exit 0
ip -4 addr flush dev "$interface"
ip addr add "$ip/$mask" dev "$interface"
[ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
set -- $staticroutes
while [ $# -ge 2 ]; do
    ip route replace "$1" via "$2" dev "$interface" onlink
    shift 2
done
[ -z "$staticroutes" ] && [ -n "$router" ] && ip route replace default via "$router" dev "$interface"
echo "LEASE ip=$ip mask=$mask mtu=$mtu dns=$dns domain=$domain hostname=$hostname router=$router tftp=$tftp bootfile=$bootfile ntp=$ntpsrv"
