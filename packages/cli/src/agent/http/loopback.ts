/** Whether a request came from this machine itself; IPv4 also as sockets of both families see it. */
export const isLoopback = (peer: string): boolean => /^(?:::1|(?:::ffff:)?127(?:\.\d{1,3}){3})$/i.test(peer)
