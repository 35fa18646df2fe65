# SCTP as far as a first packet and its answer go, over raw sockets: works on kernels without SCTP sockets as well.
#
#   perl sctp.pl answer HOST PORT,PORT ADDRESS...       answers INIT with INIT ACK, and says in it who it is; prints "ready"
#   perl sctp.pl send FROM TO PORT TIMES SECONDS        sends INIT so often, one after the other, and prints what follows:
#                                                       "answer HOST AT PORT PEER SENDER", "refused" or "no-answer"
#
# FROM is "any" where the kernel may choose. Runs on what Debian calls perl-base.
use strict;
use warnings;
use Socket qw(:all);

my ($INIT, $INIT_ACK, $STATE_COOKIE) = (1, 2, 7);
my $SCTP = 132;
$| = 1;

my ($task, @words) = @ARGV;
if ($task eq 'answer') { answer(@words) } else { send_packets(@words) }

sub answer {
  my ($host, $ports, @addresses) = @_;
  my %ports = map { $_ => 1 } split /,/, $ports;
  my %address_of;
  my @sockets = map { my $socket = raw_socket($_, $_); $address_of{ fileno $socket } = $_; $socket } @addresses;
  print "ready\n";
  while (1) {
    for my $socket (readable(undef, @sockets)) {
      my $packet;
      my $sender = recv($socket, $packet, 65_535, 0) // next;
      my $at = $address_of{ fileno $socket };
      my ($from_port, $to_port, $type, $tag) = read_packet($packet, $at);
      next unless $type == $INIT && $ports{$to_port};
      my $who = "$host $at $to_port " . text_of($sender);
      send($socket, packet_of($to_port, $from_port, $tag, $INIT_ACK, $who), 0, $sender);
    }
  }
}

sub send_packets {
  my ($from, $to, $port, $times, $seconds) = @_;
  my $first_port = 1024 + int rand 60_000;
  for my $own_port ($first_port .. $first_port + $times - 1) {
    my $socket = raw_socket($to, $from eq 'any' ? undef : $from);
    connect($socket, sockaddr_of($to)) or die "connect to $to: $!";
    my $own = text_of(getsockname $socket);
    # The node's own packets that are refused cannot even be sent; why is told as to everybody else.
    send($socket, packet_of($own_port, $port, 0, $INIT, ''), 0);
    print wait_for_answer($socket, $own_port, $to, $seconds, $own), "\n";
  }
}

sub wait_for_answer {
  my ($socket, $own_port, $to, $seconds, $own) = @_;
  while (readable(\$seconds, $socket)) {
    my $packet;
    if (!defined recv($socket, $packet, 65_535, 0)) { return $!{ECONNREFUSED} ? 'refused' : "failed $!" }
    my ($from_port, $to_port, $type, $tag, $cookie) = read_packet($packet, $to);
    return "answer $cookie $own" if $to_port == $own_port && $type == $INIT_ACK;
  }
  return 'no-answer';
}

# Those that can be read; counts the seconds down.
sub readable {
  my ($seconds, @sockets) = @_;
  my $bits = '';
  vec($bits, fileno $_, 1) = 1 for @sockets;
  my ($count, $left) = select($bits, undef, undef, $seconds && $$seconds);
  $$seconds = $left if $seconds;
  return grep { vec($bits, fileno $_, 1) } $count > 0 ? @sockets : ();
}

sub raw_socket {
  my ($of_family, $bound) = @_;
  my $socket;
  socket($socket, $of_family =~ /:/ ? AF_INET6 : AF_INET, SOCK_RAW, $SCTP) or die "socket: $!";
  if (defined $bound) { bind($socket, sockaddr_of($bound)) or die "bind to $bound: $!" }
  return $socket;
}

sub sockaddr_of {
  my ($address) = @_;
  return pack_sockaddr_in6(0, inet_pton(AF_INET6, $address)) if $address =~ /:/;
  return pack_sockaddr_in(0, inet_pton(AF_INET, $address));
}

sub text_of {
  my ($sockaddr) = @_;
  my $family = sockaddr_family($sockaddr);
  my ($port, $address) = $family == AF_INET6 ? unpack_sockaddr_in6($sockaddr) : unpack_sockaddr_in($sockaddr);
  return inet_ntop($family, $address);
}

# RFC 9260: the common header, and one chunk with a parameter.
sub packet_of {
  my ($from_port, $to_port, $tag, $type, $cookie) = @_;
  my $parameter = $cookie eq '' ? '' : pack('nn', $STATE_COOKIE, 4 + length $cookie) . $cookie;
  my $chunk = pack('CCn NNnnN', $type, 0, 20 + length $parameter, 1 + int rand 2**31, 65_535, 1, 1, 1) . $parameter;
  $chunk .= "\0" x (-length($chunk) % 4);
  my $ports = pack('nnN', $from_port, $to_port, $tag);
  return $ports . pack('V', crc32c("$ports\0\0\0\0$chunk")) . $chunk;
}

sub read_packet {
  my ($packet, $address) = @_;
  # Raw sockets of IPv4 show its header.
  $packet = substr $packet, 4 * (ord($packet) & 15) if $address !~ /:/;
  my ($from_port, $to_port, $type, $tag) = unpack 'nn x8 C x3 N', $packet;
  my $cookie = length $packet > 36 ? substr($packet, 36, unpack('x34 n', $packet) - 4) : '';
  return ($from_port, $to_port, $type, $tag, $cookie);
}

sub crc32c {
  my ($bytes) = @_;
  my $crc = 0xFFFFFFFF;
  for my $byte (unpack 'C*', $bytes) {
    $crc ^= $byte;
    $crc = $crc & 1 ? ($crc >> 1) ^ 0x82F63B78 : $crc >> 1 for 1 .. 8;
  }
  return $crc ^ 0xFFFFFFFF;
}
