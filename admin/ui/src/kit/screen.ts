import { useMediaQuery } from '@mantine/hooks'

/** Whether the screen is as narrow as a phone's: lists become cards. */
export function usePhone(): boolean {
  return useMediaQuery('(max-width: 48em)', undefined, { getInitialValueInEffect: false }) ?? false
}
