import { isJsonObject } from '../model/json-value.js'
import type { Json } from '../model/kubernetes-object.js'
import type { ConfigFields } from './config-document.js'

/**
 * The fields of a KubeProxyConfiguration v1alpha1, by the path of the mapping that holds them. One that is not listed
 * is a slip of the pen or of a newer version, and is worth a warning. Mappings that are not listed (`featureGates`)
 * may hold anything.
 * Source: https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/
 */
export const KNOWN_CONFIG_FIELDS: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  Object.entries({
    '': [
      'apiVersion',
      'bindAddress',
      'bindAddressHardFail',
      'clientConnection',
      'clusterCIDR',
      'configSyncPeriod',
      'conntrack',
      'detectLocal',
      'detectLocalMode',
      'enableProfiling',
      'featureGates',
      'healthzBindAddress',
      'hostnameOverride',
      'iptables',
      'ipvs',
      'kind',
      'logging',
      'metricsBindAddress',
      'mode',
      'nftables',
      'nodePortAddresses',
      'oomScoreAdj',
      'portRange',
      'showHiddenMetricsForVersion',
      'windowsRunAsService',
      'winkernel',
    ],
    clientConnection: ['acceptContentTypes', 'burst', 'contentType', 'kubeconfig', 'qps'],
    conntrack: [
      'maxPerCore',
      'min',
      'tcpBeLiberal',
      'tcpCloseWaitTimeout',
      'tcpEstablishedTimeout',
      'udpStreamTimeout',
      'udpTimeout',
    ],
    detectLocal: ['bridgeInterface', 'interfaceNamePrefix'],
    iptables: ['localhostNodePorts', 'masqueradeAll', 'masqueradeBit', 'minSyncPeriod', 'syncPeriod'],
    ipvs: [
      'excludeCIDRs',
      'minSyncPeriod',
      'scheduler',
      'strictARP',
      'syncPeriod',
      'tcpFinTimeout',
      'tcpTimeout',
      'udpTimeout',
    ],
    logging: ['flushFrequency', 'format', 'options', 'verbosity', 'vmodule'],
    'logging.options': ['json', 'text'],
    'logging.options.json': ['infoBufferSize', 'splitStream'],
    'logging.options.text': ['infoBufferSize', 'splitStream'],
    nftables: ['masqueradeAll', 'masqueradeBit', 'minSyncPeriod', 'syncPeriod'],
    winkernel: ['enableDSR', 'forwardHealthCheckVip', 'networkName', 'rootHnsEndpointName', 'sourceVip'],
  }).map(([path, names]) => [path, new Set(names)]),
)

/**
 * The feature gates that kube-proxy 1.36 knows: all of Kubernetes', of whatever component, because configurations are
 * often given the same gates everywhere. Those that it refuses are no others.
 * Source: test/compatibility_lifecycle/reference/feature_list.md of Kubernetes, and the gates of its metrics and logging.
 */
export const KNOWN_FEATURE_GATES: ReadonlySet<string> = new Set(
  `
  APIResponseCompression APIServerIdentity APIServerTracing APIServingWithRoutine AggregatedDiscoveryRemoveBetaType
  AllAlpha AllBeta AllowDNSOnlyNodeCSR AllowInsecureKubeletCertificateSigningRequests
  AllowOverwriteTerminationGracePeriodSeconds AllowParsingUserUIDFromCertAuth AllowUnsafeMalformedObjectDeletion
  AnonymousAuthConfigurableEndpoints AnyVolumeDataSource AtomicFIFO AuthorizeNodeWithSelectors
  AuthorizePodWebsocketUpgradeCreatePermission AuthorizeWithSelectors BtreeWatchCache CBORServingAndStorage
  CPUManagerPolicyAlphaOptions CPUManagerPolicyBetaOptions CPUManagerPolicyOptions CRDObservedGenerationTracking
  CRDValidationRatcheting CSIServiceAccountTokenSecrets CSIVolumeHealth ChangeContainerStatusOnKubeletRestart
  ClearingNominatedNodeNameAfterBinding ClientsAllowCBOR ClientsPreferCBOR
  CloudControllerManagerWatchBasedRoutesReconciliation CloudControllerManagerWebhook ClusterTrustBundle
  ClusterTrustBundleProjection ComponentFlagz ComponentSLIs ComponentStatusz ConcurrentWatchObjectDecode
  ConsistentListFromCache ConstrainedImpersonation ContainerCheckpoint ContainerRestartRules ContainerStopSignals
  ContextualLogging CoordinatedLeaderElection CrossNamespaceVolumeDataSource CustomCPUCFSQuotaPeriod
  CustomResourceFieldSelectors DRAAdminAccess DRAConsumableCapacity DRADeviceBindingConditions DRADeviceTaintRules
  DRADeviceTaints DRAExtendedResource DRAPartitionableDevices DRAPrioritizedList DRAResourceClaimDeviceStatus
  DRASchedulerFilterTimeout DeclarativeValidation DeclarativeValidationTakeover
  DeploymentReplicaSetTerminatingReplicas DetectCacheInconsistency DisableAllocatorDualWrite
  DisableCPUQuotaWithExclusiveCPUs DisableNodeKubeProxyVersion DynamicResourceAllocation EnvFiles EventedPLEG
  ExecProbeTimeout ExternalServiceAccountTokenSigner GangScheduling GenericWorkload GitRepoVolumeDriver
  GracefulNodeShutdown GracefulNodeShutdownBasedOnPodPriority HPAConfigurableTolerance HPAScaleToZero
  HonorPVReclaimPolicy HostnameOverride ImageMaximumGCAge ImageVolume ImageVolumeWithDigest InOrderInformers
  InOrderInformersBatchProcess InPlacePodLevelResourcesVerticalScaling InPlacePodVerticalScaling
  InPlacePodVerticalScalingAllocatedStatus InPlacePodVerticalScalingExclusiveCPUs
  InPlacePodVerticalScalingExclusiveMemory InTreePluginPortworxUnregister InformerResourceVersion
  JobBackoffLimitPerIndex JobManagedBy JobPodReplacementPolicy JobSuccessPolicy KMSv1 KubeletCgroupDriverFromCRI
  KubeletCrashLoopBackOffMax KubeletEnsureSecretPulledImages KubeletFineGrainedAuthz KubeletInUserNamespace
  KubeletPSI KubeletPodResourcesDynamicResources KubeletPodResourcesGet KubeletPodResourcesListUseActivePods
  KubeletRegistrationGetOnExistsOnly KubeletSeparateDiskGC KubeletServiceAccountTokenForCredentialProviders
  KubeletTracing ListFromCacheSnapshot LocalStorageCapacityIsolationFSQuotaMonitoring LogarithmicScaleDown
  LoggingAlphaOptions LoggingBetaOptions MatchLabelKeysInPodAffinity MatchLabelKeysInPodTopologySpread
  MatchLabelKeysInPodTopologySpreadSelectorMerge MaxUnavailableStatefulSet MemoryManager MemoryQoS
  MultiCIDRServiceAllocator MutableCSINodeAllocatableCount MutablePVNodeAffinity MutablePodResourcesForSuspendedJobs
  MutableSchedulingDirectivesForSuspendedJobs MutatingAdmissionPolicy NFTablesProxyMode NativeHistograms
  NodeDeclaredFeatures NodeInclusionPolicyInPodTopologySpread NodeLogQuery NodeSwap NominatedNodeNameForExpectation
  OpenAPIEnums OpportunisticBatching OrderedNamespaceDeletion PodAndContainerStatsFromCRI PodCertificateRequest
  PodDeletionCost PodLevelResources PodLifecycleSleepAction PodLifecycleSleepActionAllowZero
  PodLogsQuerySplitStreams PodObservedGenerationTracking PodReadyToStartContainersCondition PodSchedulingReadiness
  PodTopologyLabelsAdmission PortForwardWebsockets PreferSameTrafficDistribution PreventStaticPodAPIReferences
  ProcMountType QOSReserved RecoverVolumeExpansionFailure RecursiveReadOnlyMounts ReduceDefaultCrashLoopBackOffDecay
  RelaxedDNSSearchValidation RelaxedEnvironmentVariableValidation RelaxedServiceNameValidation
  ReloadKubeletServerCertificateFile RemoteRequestHeaderUID ResilientWatchCacheInitialization ResourceHealthStatus
  RestartAllContainersOnContainerExits RetryGenerateName RotateKubeletServerCertificate RuntimeClassInImageCriApi
  SELinuxChangePolicy SELinuxMount SELinuxMountReadWriteOncePod SchedulerAsyncAPICalls SchedulerAsyncPreemption
  SchedulerPopFromBackoffQ SchedulerQueueingHints SeparateCacheWatchRPC SeparateTaintEvictionController
  ServiceAccountNodeAudienceRestriction ServiceAccountTokenJTI ServiceAccountTokenNodeBinding
  ServiceAccountTokenNodeBindingValidation ServiceAccountTokenPodNodeInfo ServiceTrafficDistribution
  SidecarContainers SizeBasedListCostEstimate StatefulSetSemanticRevisionComparison StorageCapacityScoring
  StorageNamespaceIndex StorageVersionAPI StorageVersionHash StorageVersionMigrator
  StreamingCollectionEncodingToJSON StreamingCollectionEncodingToProtobuf StrictIPCIDRValidation
  StructuredAuthenticationConfiguration StructuredAuthenticationConfigurationEgressSelector
  StructuredAuthenticationConfigurationJWKSMetrics StructuredAuthorizationConfiguration SupplementalGroupsPolicy
  SystemdWatchdog TaintTolerationComparisonOperators TokenRequestServiceAccountUIDValidation TopologyAwareHints
  TopologyManagerPolicyAlphaOptions TopologyManagerPolicyBetaOptions TopologyManagerPolicyOptions
  TranslateStreamCloseWebsocketRequests UnauthenticatedHTTP2DOSMitigation UnknownVersionInteroperabilityProxy
  UserNamespacesHostNetworkSupport UserNamespacesSupport VolumeAttributesClass VolumeLimitScaling
  WatchCacheInitializationPostStartHook WatchFromStorageWithoutResourceVersion WatchList WatchListClient WinDSR
  WinOverlay WindowsCPUAndMemoryAffinity WindowsGracefulNodeShutdown WindowsHostNetwork
`.match(/\w+/g),
)

/** Why a field that kube-proxy has does nothing here. One sentence, for a person. */
interface FieldWithoutEffect {
  readonly why: string
  /** kube-proxy's default, which asks for nothing; empty values ask for nothing either. */
  readonly usual?: Json
}

const IPVS = 'that is for the ipvs mode, and the mode is iptables'
const NFTABLES = 'that is for the nftables mode, and the mode is iptables'
const WINDOWS = 'that is for Windows'
const JSON_ALONE = 'the API server is always asked for JSON'
const STDERR = 'every line is written at once, to standard error'

/** By path, in mode iptables. `docs/configuration.md` lists the same ones. */
export const FIELDS_WITHOUT_EFFECT: ReadonlyMap<string, FieldWithoutEffect> = new Map<string, FieldWithoutEffect>(
  Object.entries({
    'clientConnection.acceptContentTypes': { why: JSON_ALONE, usual: 'application/json' },
    'clientConnection.contentType': { why: JSON_ALONE, usual: 'application/vnd.kubernetes.protobuf' },
    configSyncPeriod: { why: 'there is no cache to compare with: the change log is what is known', usual: '15m0s' },
    featureGates: { why: 'each is on for good, or of another component' },
    'ipvs.excludeCIDRs': { why: IPVS },
    'ipvs.minSyncPeriod': { why: IPVS },
    'ipvs.scheduler': { why: IPVS },
    'ipvs.strictARP': { why: IPVS },
    'ipvs.syncPeriod': { why: IPVS, usual: '30s' },
    'ipvs.tcpFinTimeout': { why: IPVS },
    'ipvs.tcpTimeout': { why: IPVS },
    'ipvs.udpTimeout': { why: IPVS },
    'logging.flushFrequency': { why: STDERR, usual: '5s' },
    'logging.options.json.infoBufferSize': { why: STDERR },
    'logging.options.json.splitStream': { why: STDERR },
    'logging.options.text.infoBufferSize': { why: STDERR },
    'logging.options.text.splitStream': { why: STDERR },
    'logging.vmodule': { why: "it names files of kube-proxy's sources" },
    'nftables.masqueradeAll': { why: NFTABLES },
    'nftables.masqueradeBit': { why: NFTABLES, usual: 14 },
    'nftables.minSyncPeriod': { why: NFTABLES, usual: '1s' },
    'nftables.syncPeriod': { why: NFTABLES, usual: '30s' },
    portRange: { why: 'kube-proxy has not used it since its userspace mode went' },
    showHiddenMetricsForVersion: { why: 'no metric is hidden' },
    windowsRunAsService: { why: WINDOWS },
    'winkernel.enableDSR': { why: WINDOWS },
    'winkernel.forwardHealthCheckVip': { why: WINDOWS },
    'winkernel.networkName': { why: WINDOWS },
    'winkernel.rootHnsEndpointName': { why: WINDOWS },
    'winkernel.sourceVip': { why: WINDOWS },
  }),
)

const IPTABLES = 'that is for the iptables mode, and the mode is nftables'

/** In mode nftables its own section has an effect, and that of mode iptables has none. */
const WITHOUT_EFFECT_IN_NFTABLES: ReadonlyMap<string, FieldWithoutEffect> = new Map<string, FieldWithoutEffect>([
  ...[...FIELDS_WITHOUT_EFFECT].flatMap(([path, field]): readonly (readonly [string, FieldWithoutEffect])[] => {
    if (path.startsWith('nftables.')) return []
    return [[path, field.why === IPVS ? { ...field, why: IPVS.replace('iptables', 'nftables') } : field]]
  }),
  ['iptables.localhostNodePorts', { why: 'mode nftables has no node ports on loopback', usual: true }],
  ['iptables.masqueradeAll', { why: IPTABLES }],
  ['iptables.masqueradeBit', { why: IPTABLES, usual: 14 }],
  ['iptables.minSyncPeriod', { why: IPTABLES, usual: '1s' }],
  ['iptables.syncPeriod', { why: IPTABLES, usual: '30s' }],
])

const withoutEffectOf = (mode: string): ReadonlyMap<string, FieldWithoutEffect> =>
  mode === 'nftables' ? WITHOUT_EFFECT_IN_NFTABLES : FIELDS_WITHOUT_EFFECT

/** The fields of a document that have no effect in a mode, by their paths; those that ask for nothing are left out. */
export function withoutEffectIn(root: ConfigFields, mode: string): Readonly<Record<string, Json>> {
  const found: Record<string, Json> = {}
  for (const [path, { usual }] of withoutEffectOf(mode)) {
    const steps = path.split('.')
    const name = steps.pop() ?? ''
    const value = steps.reduce((fields, step) => fields.within(step), root).value(name)
    if (!asksForNothing(value) && value !== usual) found[path] = value as Json
  }
  return found
}

/** A line for each reason, with the fields that it is true of. */
export function warningsOfNoEffect(found: Readonly<Record<string, Json>>, mode: string): readonly string[] {
  const byReason = new Map<string, string[]>()
  for (const path of Object.keys(found)) {
    const why = withoutEffectOf(mode).get(path)?.why ?? ''
    byReason.set(why, [...(byReason.get(why) ?? []), path])
  }
  return [...byReason].map(([why, paths]) => `${paths.join(', ')}: no effect here: ${why}`)
}

const asksForNothing = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  value === 0 ||
  value === '0' ||
  value === '0s' ||
  value === false ||
  (Array.isArray(value) && value.length === 0) ||
  (isJsonObject(value) && Object.keys(value).length === 0)
