import { createTheme, type MantineColorsTuple } from '@mantine/core'

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
})
