// Cc without any exception, and the characters that turn the direction of writing or are invisible. The joiners U+200C and
// U+200D stay: scripts and emoji need them. The same list as clean in admin/user.go.
const hidden =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: taking them out is the purpose
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu

/** A stranger's text as it may be shown: on one line, in its own direction, nothing invisible. */
export function safe(text: string | undefined): string {
  return (text ?? '').replace(hidden, '').trim()
}
