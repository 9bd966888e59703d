#
# Cookbook:: openssl_patch
# Recipe:: default
#
# Upgrades OpenSSL, and leaves no service running the old library: the resource as the attributes say.

openssl_patch 'default' do
  packages OpensslPatch::Platform.packages(node) # here, so that a platform it does not know stops the run before it begins
end
