/**
 * Once JSON.parse has met the key `\`, it reads an escaped key of one character in a like object as `\`, too
 * (https://github.com/nodejs/node/issues/63785). None of our keys is that short; a property that compares documents with
 * any keys leaves out the texts that set it off.
 */
const trigger = /"(?:\\\\|\\u005c)"\s*:/i

export const setsOffKeyDefect = (text: string): boolean => trigger.test(text)
