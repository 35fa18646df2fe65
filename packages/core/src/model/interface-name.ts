/** The longest name of a network interface (IFNAMSIZ of Linux, without the ending NUL), in bytes. */
export const LONGEST_INTERFACE_NAME = 15

/**
 * Whether rules can name a network interface so: no blanks, quotes or control characters, nothing in front that begins
 * an option, and within `longest` bytes. Linux itself refuses blanks and longer names.
 */
export const isInterfaceName = (text: string, longest = LONGEST_INTERFACE_NAME): boolean =>
  /^[^-!"\s\p{Cc}][^"\s\p{Cc}]*$/u.test(text) && new TextEncoder().encode(text).length <= longest
