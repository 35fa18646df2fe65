/** The table of kube-proxy's nftables mode, in families ip and ip6. */
export const TABLE_NAME = 'kube-proxy'
