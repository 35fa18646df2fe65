/**
 * How a rule may be written, and how iptables-save 1.8.9 prints it, on nft and on legacy; a kernel test restores the left
 * and saves the right.
 */
export const SPELLINGS: readonly (readonly [written: string, saved: string])[] = [
  ['-m tcp -p tcp -d 10.96.0.10/32 --dport 53 -j ACCEPT', '-d 10.96.0.10/32 -p tcp -m tcp --dport 53 -j ACCEPT'],
  [
    '-m comment --comment "a/b: c" -m tcp -p tcp -d 10.96.0.10 --dport 53 -j B',
    '-d 10.96.0.10/32 -p tcp -m comment --comment "a/b: c" -m tcp --dport 53 -j B',
  ],
  ['-p tcp --source-port 5 -m comment --comment x -j B', '-p tcp -m tcp --sport 5 -m comment --comment x -j B'],
  ['-p udp --sport 1: --dport :53 -j RETURN', '-p udp -m udp --sport 1:65535 --dport 0:53 -j RETURN'],
  ['-p tcp --dport=80 --sport 0:65535', '-p tcp -m tcp --dport 80'],
  ['-p tcp ! --dport 7:7', '-p tcp -m tcp ! --dport 7'],
  ['-p tcp --syn', '-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN'],
  ['-p tcp ! --syn', '-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN'],
  ['-p tcp --tcp-flags ALL NONE', '-p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE'],
  ['-p 132 -m sctp --dport 5', '-p sctp -m sctp --dport 5'],
  // The same digits are other ports to each: udp reads decimal numbers, and only sctp prints all ports.
  ['-p udp --dport 053', '-p udp -m udp --dport 53'],
  ['-p tcp --dport 053', '-p tcp -m tcp --dport 43'],
  ['-p sctp --dport 0x50 --sport :', '-p sctp -m sctp --sport 0:65535 --dport 80'],
  ['-s 10/8 -d 10.1.2/24', '-s 10.0.0.0/8 -d 10.1.2.0/24'],
  ['-s 10.1 -d 0/0', '-s 10.1.0.0/32'],
  [`-m comment --comment ${'x'.repeat(300)}`, `-m comment --comment ${'x'.repeat(255)}`],
  ['-p all', ''],
  ['-p 200 -f', '-p 200 -f'],
  ['! -p TCP ! -f', '! -p tcp ! -f'],
  ['-o br+ ! --in-interface eth0 --dst 1.2.3.4 ! --src 10.1.2.3/8', '! -s 10.0.0.0/8 -d 1.2.3.4/32 ! -i eth0 -o br+'],
  ['-s 0.0.0.0/0 -d 10.0.0.1/255.0.255.0', '-d 10.0.0.0/255.0.255.0'],
  ['-s 10.9.8.7/255.255.0.0', '-s 10.9.0.0/16'],
  ['-m mark --mark 16384', '-m mark --mark 0x4000'],
  ['-m mark ! --mark 010/0x4000', '-m mark ! --mark 0x8/0x4000'],
  ['-m mark --mark 0x1/0xFFFFFFFF -g B', '-m mark --mark 0x1 -g B'],
  ['-m conntrack --ctstate NEW,RELATED,established,INVALID', '-m conntrack --ctstate INVALID,NEW,RELATED,ESTABLISHED'],
  ['-m conntrack ! --ctstate DNAT,SNAT,UNTRACKED', '-m conntrack ! --ctstate UNTRACKED,SNAT,DNAT'],
  ['-m statistic --mode random --probability 0.3333333333', '-m statistic --mode random --probability 0.33333333349'],
  ['-m statistic --probability 0.2 --mode random', '-m statistic --mode random --probability 0.20000000019'],
  ['-m statistic --mode random ! --probability 1', '-m statistic --mode random ! --probability 1.00000000000'],
  ['-m statistic --mode nth --packet 0 --every 3', '-m statistic --mode nth --every 3 --packet 0'],
  [
    '-m recent --rsource --mask 255.255.255.255 --name X --reap --seconds 180 --rcheck',
    '-m recent --rcheck --seconds 180 --reap --name X --mask 255.255.255.255 --rsource',
  ],
  [
    '-m recent ! --update --hitcount 3 --rttl --name Y --mask 255.255.0.0 --rdest',
    '-m recent ! --update --hitcount 3 --rttl --name Y --mask 255.255.0.0 --rdest',
  ],
  ['-m addrtype --dst-type local', '-m addrtype --dst-type LOCAL'],
  [
    '-m addrtype --limit-iface-in ! --src-type LOCAL,UNICAST',
    '-m addrtype ! --src-type UNICAST,LOCAL --limit-iface-in',
  ],
  ['-m physdev --physdev-in br0+ ! --physdev-is-bridged', '-m physdev --physdev-in br0+ ! --physdev-is-bridged'],
  ['-m physdev --physdev-is-in', '-m physdev --physdev-is-in'],
  ['-j REJECT --reject-with icmp-port-unreachable', '-j REJECT --reject-with icmp-port-unreachable'],
  ['-p tcp -j REJECT --reject-with tcp-rst', '-p tcp -j REJECT --reject-with tcp-reset'],
  ['-m comment --comment ""', '-m comment --comment ""'],
  ['-m comment --comment -j -j ACCEPT', '-m comment --comment -j -j ACCEPT'],
  [String.raw`-m comment --comment "it's \"so\" \\"`, String.raw`-m comment --comment "it\'s \"so\" \\"`],
  ['-m comment --comment a -m comment --comment b', '-m comment --comment a -m comment --comment b'],
  ['-m limit --limit 5/minute -j LOG --log-prefix "a b"', '-m limit --limit 5/min -j LOG --log-prefix "a b"'],
]

/** The same in the nat and mangle tables. */
export const NAT_SPELLINGS: readonly (readonly [written: string, saved: string])[] = [
  ['-p udp -j DNAT --to-destination 10.0.0.1:050', '-p udp -j DNAT --to-destination 10.0.0.1:40'],
  ['-p tcp -j DNAT --to-destination 10.244.1.5:8080', '-p tcp -j DNAT --to-destination 10.244.1.5:8080'],
  [
    '-p udp -j DNAT --persistent --random --to-destination 10.244.1.5',
    '-p udp -j DNAT --to-destination 10.244.1.5 --random --persistent',
  ],
  ['-j MASQUERADE --random-fully', '-j MASQUERADE --random-fully'],
  ['-p tcp -j MASQUERADE --random --to-ports 1024-2048', '-p tcp -j MASQUERADE --to-ports 1024-2048 --random'],
  ['-j MARK --or-mark 0x4000', '-j MARK --set-xmark 0x4000/0x4000'],
  ['-j MARK --xor-mark 0x4000', '-j MARK --set-xmark 0x4000/0x0'],
  ['-j MARK --and-mark 0xff', '-j MARK --set-xmark 0x0/0xffffff00'],
  ['-j MARK --set-mark 1', '-j MARK --set-xmark 0x1/0xffffffff'],
  ['-j MARK --set-mark 0x3/0x4', '-j MARK --set-xmark 0x3/0x7'],
]
