/** As small as an app of Next.js can be: next/jest wants one. */
export default function Layout({ children }) {
  return children;
}
