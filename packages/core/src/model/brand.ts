declare const brand: unique symbol

/** A value that must not be mixed up with another of the same type: `Brand<string, 'ServicePortName'>`. */
export type Brand<Value, Name extends string> = Value & { readonly [brand]: Name }
