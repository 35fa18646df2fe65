export { createFakeIptables } from './create-fake-iptables.js'
export type { FakeIptables, FakeIptablesOptions } from './create-fake-iptables.js'
export type { Fault } from './faults.js'
export type { RecordedCall } from './recorded-calls.js'
