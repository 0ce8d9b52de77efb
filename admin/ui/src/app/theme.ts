import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from '@mantine/core'

const leaf: MantineColorsTuple = [
  '#e9fbf4',
  '#d3f4e6',
  '#a5e8cc',
  '#74dcb0',
  '#4cd199',
  '#33cb8a',
  '#12a46b',
  '#087f5b',
  '#066649',
  '#044d37',
]

/** Shades are chosen so that text on them and of them has 4.5:1 (WCAG 2.2 §1.4.3), which the end-to-end test measures. */
export const theme = createTheme({
  primaryColor: 'leaf',
  primaryShade: { light: 7, dark: 7 },
  colors: { leaf },
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
  headings: { fontWeight: '600' },
  defaultRadius: 'md',
  cursorType: 'pointer',
  respectReducedMotion: true,
  // The placeholder is an element without a role inside of the menu, which screen readers stumble over.
  components: { Menu: { defaultProps: { withInitialFocusPlaceholder: false } } },
})

const tinted = ['leaf', 'red', 'orange', 'yellow', 'gray', 'blue']

const danger = { '--mantine-color-red-filled': '#c92a2a', '--mantine-color-red-filled-hover': '#b02525' }

/** The kit's greys and tints where they are too faint for text. */
export const contrast: CSSVariablesResolver = (t) => {
  const tints = (shade: number) =>
    Object.fromEntries(tinted.map((c) => [`--mantine-color-${c}-light-color`, t.colors[c]?.[shade] ?? '']))
  return {
    variables: {},
    light: {
      ...tints(9),
      '--mantine-color-orange-light-color': '#9c3600', // the darkest orange has 3.6:1
      '--mantine-color-dimmed': '#495057',
      '--mantine-color-placeholder': '#656d75',
      '--mantine-color-error': '#c92a2a',
      ...danger,
    },
    dark: {
      ...tints(2),
      '--mantine-color-dimmed': '#b4b4b4',
      '--mantine-color-placeholder': '#a0a0a0',
      '--mantine-color-error': '#ff8787',
      ...danger,
    },
  }
}
