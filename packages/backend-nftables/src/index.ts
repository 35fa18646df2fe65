export { nftablesDataplane } from './dataplane.js'
export { NFT_ERRORS, NftError, openNft, type Nft, type NftErrorCode } from './adapter/nft.js'
export { createNftablesBackend, type NftablesBackendOptions } from './adapter/nftables-backend.js'
export { planNftables, type NftPlan } from './plan/rule-plan.js'
