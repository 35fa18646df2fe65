# Sends a TCP answer (SYN and ACK) that belongs to no connection, and tells what comes back.
#
#   perl stray-tcp.pl FROM TO SECONDS       prints "reset" or "no-answer"
#
# Over a raw socket; runs on what Debian calls perl-base.
use strict;
use warnings;
use Socket qw(:all);

my ($from, $to, $seconds) = @ARGV;
my ($SYN, $RST, $ACK) = (2, 4, 16);
my $family = $from =~ /:/ ? AF_INET6 : AF_INET;
my ($own_port, $their_port) = (20_000 + int rand 10_000, 30_000 + int rand 10_000);

my $socket;
socket($socket, $family, SOCK_RAW, IPPROTO_TCP) or die "socket: $!";
bind($socket, sockaddr_of($from)) or die "bind to $from: $!";
connect($socket, sockaddr_of($to)) or die "connect to $to: $!";
defined send($socket, segment(), 0) or die "send: $!";

while (readable()) {
  my $packet;
  defined recv($socket, $packet, 65_535, 0) or next;
  # Raw sockets of IPv4 show its header.
  $packet = substr $packet, 4 * (ord($packet) & 15) if $family == AF_INET;
  my ($from_port, $to_port, $flags) = unpack 'nn x9 C', $packet;
  if ($from_port == $their_port && $to_port == $own_port && $flags & $RST) { print "reset\n"; exit }
}
print "no-answer\n";

sub readable {
  my $bits = '';
  vec($bits, fileno $socket, 1) = 1;
  (my $count, $seconds) = select $bits, undef, undef, $seconds;
  return $count > 0;
}

sub segment {
  my @header = ($own_port, $their_port, 1, 1, 5 << 4, $SYN | $ACK, 1024, 0, 0);
  my $addresses = inet_pton($family, $from) . inet_pton($family, $to);
  my $length = 20;
  $header[7] = checksum($addresses . pack('NN', $length, IPPROTO_TCP) . pack('nnNNCCnnn', @header));
  return pack 'nnNNCCnnn', @header;
}

sub checksum {
  my $sum = unpack '%32n*', $_[0];
  $sum = ($sum & 0xFFFF) + ($sum >> 16) while $sum >> 16;
  return ~$sum & 0xFFFF;
}

sub sockaddr_of {
  my ($address) = @_;
  my $packed = inet_pton($family, $address);
  return $family == AF_INET6 ? pack_sockaddr_in6(0, $packed) : pack_sockaddr_in(0, $packed);
}
