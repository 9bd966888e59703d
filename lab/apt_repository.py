"""A package repository of a test's own, on a node."""

#: Shell, run as root on a node of Debian's family: makes the .deb files in /root/offers a repository that apt asks. It
#: needs no dpkg-dev, which the nodes do not have.
OFFER = r"""
cd /root/offers
for file in *.deb; do
    dpkg-deb --field "$file"
    sum=$(sha256sum "$file" | cut -c 1-64)
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$file" "$(stat -c %s "$file")" "$sum"
done >Packages
echo 'deb [trusted=yes] file:///root/offers ./' >/etc/apt/sources.list.d/offers.list
"""
