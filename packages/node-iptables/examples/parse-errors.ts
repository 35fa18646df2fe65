import { formatRule, IptablesFormatError, IptablesParseError, parseSave } from 'node-iptables'

try {
  parseSave('*filter\n-A WEB -j ACCEPT\nCOMMIT\n')
} catch (error) {
  if (!(error instanceof IptablesParseError)) throw error
  console.log(error.code, error.line, error.text, error.found)
}
// -> UNDECLARED_CHAIN 2 -A WEB -j ACCEPT WEB

try {
  formatRule({ matches: [{ type: 'comment', comment: 'two\nlines' }] })
} catch (error) {
  if (!(error instanceof IptablesFormatError)) throw error
  console.log(error.code)
}
// -> UNSAYABLE
