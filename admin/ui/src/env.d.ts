/// <reference types="vite/client" />

// Icons are imported one by one: the package's index would bring thousands.
declare module '@tabler/icons-react/dist/esm/icons/*.mjs' {
  const icon: import('@tabler/icons-react').Icon
  export default icon
}
