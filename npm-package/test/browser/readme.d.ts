/** The README's examples, as test/browser/vitest.config.ts serves them. */
declare module "virtual:readme/0.tsx" {
  export const Dashboard: (props: { user: string; getToken?: () => Promise<string> }) => React.ReactElement;
}
declare module "virtual:readme/1.tsx" {
  export const Agent: (props: { id: string }) => React.ReactElement;
  export const Calls: (props: { agent: string }) => React.ReactElement;
}
