export { createFakeIptables, type FakeIptables, type FakeIptablesOptions } from './create-fake-iptables.js'
export { type Fault, type RecordedCall } from './fake-run.js'
