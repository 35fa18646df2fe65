import { networkInterfaces } from 'node:os'

/** The addresses that this machine's interfaces bear, loopback's among them; of interfaces that are up. */
export const interfaceAddresses = (): readonly string[] =>
  Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address))
