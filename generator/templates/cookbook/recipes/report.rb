#
# Cookbook:: openssl_patch
# Recipe:: report
#
# Looks which processes run an old OpenSSL and records it; upgrades and refreshes nothing.

openssl_patch 'report' do
  packages OpensslPatch::Platform.packages(node)
  action :report
end
