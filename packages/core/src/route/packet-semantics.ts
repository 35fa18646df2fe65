/**
 * In what the modes of a service proxy differ for packets, as data: `route` asks for these and for no mode's name. What is not
 * here is the same in every mode.
 */
export interface PacketSemantics {
  /** Node ports may answer on IPv4 loopback: where localhostNodePorts asks for it. */
  readonly loopbackNodePorts: boolean
  /**
   * When the source ranges of load-balancer VIPs are asked: `first`, before anything is translated and whether or not there are
   * endpoints; or `with-endpoints`, when the VIP's own rules are reached, of which there are none without endpoints.
   */
  readonly sourceRanges: 'first' | 'with-endpoints'
  /** Every packet to an address of a Service is refused where there are no endpoints, whether the node sends, forwards or takes it in. */
  readonly refusesOnEveryWay: boolean
  /** A node port without endpoints refuses where node ports answer; else on each of the node's own addresses. */
  readonly refusesWhereNodePortsAnswer: boolean
  /** The health-check node port is let in before anything is refused. */
  readonly healthChecksFirst: boolean
  /** Which ports of a Service's addresses are rejected because the Service does not have them. */
  readonly rejectsUnusedPorts: 'none' | 'of-cluster-ips' | 'of-all-addresses'
  /** What is sent to no Service's address within the ServiceCIDRs is dropped. */
  readonly dropsUnallocated: boolean
  /** Whose own packets, sent back to them, are masqueraded: those of any endpoint, or of endpoints on this node alone. */
  readonly hairpin: 'any' | 'local'
}

/** Source: https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/proxy/iptables/proxier.go, and the goldens. */
const IPTABLES: PacketSemantics = {
  loopbackNodePorts: true,
  sourceRanges: 'with-endpoints',
  refusesOnEveryWay: false,
  refusesWhereNodePortsAnswer: false,
  healthChecksFirst: true,
  rejectsUnusedPorts: 'none',
  dropsUnallocated: false,
  hairpin: 'any',
}

/**
 * Source: https://kubernetes.io/docs/reference/networking/virtual-ips/#migrating-from-iptables-mode-to-nftables,
 * https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/proxy/nftables/proxier.go, and the goldens.
 */
const NFTABLES: PacketSemantics = {
  loopbackNodePorts: false,
  sourceRanges: 'first',
  refusesOnEveryWay: true,
  refusesWhereNodePortsAnswer: true,
  healthChecksFirst: false,
  rejectsUnusedPorts: 'of-cluster-ips',
  dropsUnallocated: true,
  hairpin: 'local',
}

/**
 * As far as Services mean it: the node has every address of a Service on an interface, refuses unused ports there, and a virtual
 * server without endpoints refuses by itself. How a scheduler chooses, and policy Local on the node itself, are not modelled.
 * Source: https://kubernetes.io/docs/reference/networking/virtual-ips/#proxy-mode-ipvs,
 * https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/proxy/ipvs/proxier.go (KUBE-IPVS-FILTER)
 */
const IPVS: PacketSemantics = {
  loopbackNodePorts: false,
  sourceRanges: 'first',
  refusesOnEveryWay: true,
  refusesWhereNodePortsAnswer: true,
  healthChecksFirst: true,
  rejectsUnusedPorts: 'of-all-addresses',
  dropsUnallocated: false,
  hairpin: 'local',
}

const OF_MODE: ReadonlyMap<string, PacketSemantics> = new Map([
  ['iptables', IPTABLES],
  ['nftables', NFTABLES],
  ['ipvs', IPVS],
])

/** Those of a mode; of a mode that is not known here, those of iptables. */
export const packetSemanticsOf = (mode: string): PacketSemantics => OF_MODE.get(mode) ?? IPTABLES
